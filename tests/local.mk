# tests/: see HACKING.md, "Adding a file"
