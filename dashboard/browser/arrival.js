// Shows the first page once it is whole: what Streamlit loads while it draws would push about what is there already.
const PATIENCE_MILLISECONDS = 2000; // a page that jumps is better than none

const look = () => {
  const app = document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]');
  const isThere = app?.querySelector(".st-key-strip .strip, .alert, .st-key-entrance");
  const isWhole = isThere && !app.querySelector('[data-testid="stSkeleton"]');
  if (isWhole || performance.now() > PATIENCE_MILLISECONDS) document.documentElement.classList.add("arrived");
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
