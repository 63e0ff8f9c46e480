"""The page: questions asked and answered in a browser, and as JSON.

`forms` what may be asked · `home`, `pages`, `law` one function for each page · `api` answers for
programs · `jobs` questions in hand · `work` the process that answers one · `safety` who may ask ·
`site` how a page is drawn · `server` the routes.
"""

from chipwise.web.server import application, serve

__all__ = ["application", "serve"]
