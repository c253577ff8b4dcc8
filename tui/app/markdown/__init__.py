"""Markdown as lines of styled text: splits a growing text into closed blocks and an open tail, and renders blocks to
lines of a given width. Knows no widget, no theme and no screen."""
