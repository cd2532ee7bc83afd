# ldap-schema/: see HACKING.md, "Adding a file"
