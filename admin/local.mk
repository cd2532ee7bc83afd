# admin/: see HACKING.md, "Adding a file"
