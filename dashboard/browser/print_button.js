export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.textContent = data.says;
  button.onclick = () => window.print();
}
