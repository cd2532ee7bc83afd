# store/: see HACKING.md, "Adding a file"
