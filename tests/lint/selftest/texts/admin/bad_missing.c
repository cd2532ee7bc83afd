/* A text without its row. */
void
f(void)
{
	puts(_("nobody translated this"));
}
