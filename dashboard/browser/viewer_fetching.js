// Pictures on their way into the browser.

// Fetched and decoded, but not yet seen: what goes onto the stage is then there at once and whole. A network may stumble:
// what fails is asked for again.
async function fetchPicture(url) {
  for (const pause of [100, 300, 900, 0]) {
    const picture = new Image();
    picture.decoding = "sync";
    picture.src = url;
    try {
      await picture.decode();
      return picture;
    } catch (error) {
      if (!pause) throw error;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

// Those that are likely to be opened next, by address: one store for all components of the page. A few only: each is
// some megabytes when it is decoded.
const ahead = (globalThis.triageAhead ??= new Map());
const MOST_AHEAD = 4;

function fetchAhead(urls) {
  for (const url of urls) {
    const known = ahead.get(url);
    ahead.delete(url);
    ahead.set(url, known ?? fetchPicture(url).catch(() => void ahead.delete(url)));
  }
  for (const url of [...ahead.keys()].slice(0, Math.max(0, ahead.size - MOST_AHEAD))) ahead.delete(url);
}

// Fetched already, or now.
async function takePicture(url) {
  const there = await ahead.get(url);
  ahead.delete(url);
  return there ?? fetchPicture(url);
}
