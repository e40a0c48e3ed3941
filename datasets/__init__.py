"""One file a data set; the file's name is the data set's key. Not Hugging Face's package of the same name."""
