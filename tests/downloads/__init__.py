"""Downloads: whole files or none, whatever happens on the way."""
