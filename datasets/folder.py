"""Anybody's own catalogue, `folder:<path>`: Hugging Face's imagefolder with metadata, or a folder per class.

- `train/`, `val/`, `test/` and `unlabeled/` (also valid, validation, dev, unlabelled), each with `metadata.csv`, `.jsonl` or `.parquet`:
  `file_name`, relative to that folder, and a column an attribute type. Or one such file at the root, paths relative to the root, with a
  `split` column (or all of them in folders of splits). Where both are there, the files in the folders count and the root's does not.
  `unlabeled/` needs no metadata. Photos in a folder of another name beside them are not read, which is said.
- `|` joins several values; an empty cell is "not annotated"; a lone `|` says that none of a multi type's values holds. An image of `train`
  without any label is unlabelled.
- `attributes.json`, optional: `{"group": "<column>", "attribute_types": {"<type>": {"kind": "single" or "multi", "values": [...], "column":
  "<column>"}}}`. Without types every column but `group` is one, multi if any cell holds `|`; a column whose values hardly repeat (an id, a
  caption: used less than three times on average) or are all one is left out and said, and so is one of more than
  10,000 values; one of many classes with few images each is said to look like the number of an article.
- Without metadata, `<split>/<class>/*.jpg` or `<class>/*.jpg` is read as one exclusive type named `class`, if there are two classes or more
  and no table of another name.
- A catalogue without `val` lends it the 15 % of `train` whose paths hash lowest, one without `test` the 15 % that hash highest. Images that
  share a value of `group` go together, and unlabelled ones that share it with one of these 15 % are left out."""

from __future__ import annotations

from datasets._imagefolder import read, sources

__all__ = ["REQUEST", "REQUIRED", "read", "sources"]

REQUIRED = ()
REQUEST = "nobody: it is your own folder; docs/your-own-data.md shows the layouts"
