int f(struct conf *c)
{
	return conf_int(c, "four");
}
