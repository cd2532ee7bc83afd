/* strcpy( in a comment */
const char *s = "sprintf(";
int x_strcpy(int y);
