// Elements and numbers. Text becomes text and never markup, whatever is in it.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes (those that begin with "on" are listeners) and children: elements or text.
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A number for people: whole ones whole, others to three decimals or three digits.
function show(value) {
  if (Number.isNaN(value)) return "unknown";
  const size = Math.abs(value);
  if (Number.isInteger(value)) return count(value);
  if (size >= 1000) return count(Math.round(value));
  if (size >= 10) return value.toFixed(2);
  return size >= 0.001 ? value.toFixed(3) : value.toPrecision(2);
}

function count(number) {
  return number.toLocaleString("en-US");
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${show(value)}`;
}

function title(column) {
  return column.name === "scores" ? "C-score" : column.name.replaceAll("_", " ");
}

// Calls `act` at most once a frame.
function once(act) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      act();
    });
  };
}
