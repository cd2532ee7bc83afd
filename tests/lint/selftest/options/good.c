int f(struct conf *c)
{
	return conf_int(role_conf(), "two");
}
