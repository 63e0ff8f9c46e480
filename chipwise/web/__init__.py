"""The page: questions asked and answered in a browser, and as JSON.

`forms` what may be asked · `pages` one function for each page · `charts` answers → what is drawn ·
`jobs` questions in hand · `work` the process that answers one · `safety` who may ask · `site` how a
page is drawn.
"""

from chipwise.web.server import application, serve

__all__ = ["application", "serve"]
