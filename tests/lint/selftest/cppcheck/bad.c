#include <stdlib.h>
int
f(void)
{
	int a[3];

	a[5] = 1;
	return a[5];
}
