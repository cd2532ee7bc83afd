# smtpd/: see HACKING.md, "Adding a file"
