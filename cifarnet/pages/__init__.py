"""Pages: single files that need no network and can be read without their script."""

from cifarnet.pages.render import data_uri, live_page, template, write, write_index

__all__ = ["data_uri", "live_page", "template", "write", "write_index"]
