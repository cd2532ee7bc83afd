# directory/: see HACKING.md, "Adding a file"
