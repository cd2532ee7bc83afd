# imapd/: see HACKING.md, "Adding a file"
