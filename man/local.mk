# man/: see HACKING.md, "Adding a file"
