"""What Streamlit runs, from top to bottom, each time that a page is drawn."""

from dashboard import pages

pages.show()
