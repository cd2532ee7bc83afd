# milter/: see HACKING.md, "Adding a file"
