// An element with a text. Whatever comes from outside is set as text, never as markup.
function piece(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
