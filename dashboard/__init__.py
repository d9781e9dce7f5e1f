"""The dashboard: worklist, viewer, upload and quarantine, on Streamlit."""
