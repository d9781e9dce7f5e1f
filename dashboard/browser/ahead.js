export default function ({ data }) {
  fetchAhead(data.urls);
}
