"""Loss functions that more than one method may want, one idea a file."""
