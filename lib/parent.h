/* parent.h: the supervisor that congvu-smtpd, congvu-imapd, congvu-stored and congvu-milter are made of. It binds
 * sockets, starts the roles of its table with dropped privileges, restarts them with back-off and keeps a state file
 * run/<program>.status (JSON) for `congvu status`. It reads no byte from any peer. */
#ifndef CV_PARENT_H
#define CV_PARENT_H

#include "lib/conf.h"

/* A socket bound by the parent and inherited by roles under its name. */
struct parent_socket {
	const char *name;   /* "listen.mx", "lookup": role_fd(name) */
	const char *option; /* TCP: option with "addr:port" ("" there: not bound); UNIX: NULL */
	const char
	    *unix_path; /* UNIX: path below the run folder, e.g. "lookup.smtpd.sock"; TCP: NULL */
	const char *
	    peer_user; /* UNIX: option naming the user who may connect (socket is its, 0600); "": only the user the
				 * parent runs as (congvu as root); NULL: anybody (0666) */
};
struct parent_role {
	const char *name;         /* "smtpd-session" */
	const char *binary;       /* below pkglibexecdir: "congvu-smtpd-session" */
	const char *user_option;  /* "user_smtpd"; NULL: stays as it is */
	const char *count_option; /* NULL: one process */
	const char *
	    dir_option; /* its working folder (CONF_PATH), NULL: the run folder. Created 0700, owned by the user */
	const char *const *sockets; /* names, NULL-terminated */
	const char *const *
	    secrets; /* options naming files opened read-only by the parent and inherited as role_fd(option) */
	const char *const *
	    options; /* of a role that a reload leaves as it is: what it took at its start, NULL-terminated; or NULL */
	bool expendable; /* true: restarted alone; false: the whole program restarts with it */
	/* What a reload (SIGHUP to the parent) does to an expendable role. false: it is restarted, one process after the other. true:
	 * a new process is started beside it, and when that is up, the old one gets SIGHUP: it takes no more
	 * clients and ends when those it has are served. A role that is not expendable stays as it is. */
	bool replaceable;
};
/* A folder that is made beside those of the roles, owned by a user: 0711. */
struct parent_dir {
	const char *option; /* CONF_PATH */
	const char *user_option;
};
struct parent_spec {
	const char *program; /* "congvu-smtpd" */
	const struct parent_socket *sockets;
	const struct parent_role *roles;
	size_t n_sockets, n_roles;
	const struct parent_dir *dirs; /* may be NULL */
	size_t n_dirs;
};
/* main() of each parent. Options: -c FILE, -n (check the configuration and end). Foreground. SIGTERM and SIGINT: orderly
 * stop. SIGHUP: the configuration is read again; when it is good, roles take it over as their table says, without the ports
 * ever closed; what only a restart changes (ports, users, numbers of processes, folders) is logged. Tells a service manager
 * by sd_notify's protocol. Binaries are looked for in the folder of environment CONGVU_LIBEXEC, else option libexec_dir, else where they
 * were installed. Exit: 0 after an orderly stop, 78 configuration, 71 system, 75 when it runs already. */
int parent_main(const struct parent_spec *spec, int argc, char **argv);

#endif
