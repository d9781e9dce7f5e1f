// A cookie of the browser's session: the name outlives a reload of the page, and not the browser.
export default function ({ data }) {
  const kept = data.name ? encodeURIComponent(data.name) : "; max-age=0";
  document.cookie = `${data.cookie}=${kept}; path=/; samesite=strict`;
}
