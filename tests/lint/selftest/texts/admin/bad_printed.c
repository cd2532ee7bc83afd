/* Words that go out as they stand. */
void
f(void)
{
	printf(_("is said"));
	printf("%s: %zu words nobody marked\n", "x", n);
}
