"""`hemokit demo`: a web page that shows what a model finds in a slice. For education only, not a medical device.

    build_server(open_model()).run()

Reading order: uploads (a file in memory), models, steps (thousandths), answers (what the page gets), heat (where the
model looked), examples, results (the zip to keep), runtime (models in the browser), app (Flask), server (waitress).
The page itself is in page/: index.html, style.css and JavaScript without any library.
"""

from hemokit.demo.models import open_model

__all__ = ["open_model"]
