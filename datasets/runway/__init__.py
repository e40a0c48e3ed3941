"""Runway renders photos of garments whose attributes are known, in the layouts of real data sets."""

from datasets.runway.sheet import contact_sheet
from datasets.runway.stand_in import RENDERER_VERSION, layouts, render

__all__ = ["RENDERER_VERSION", "contact_sheet", "layouts", "render"]
