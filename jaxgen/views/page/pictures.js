// Pictures of examples, cut from sheets of a hundred. A sheet is decoded when it is first needed, and kept for a while.

const MOST_SHEETS = 300;
const sheets = new Map();

function openSheet(kind, number) {
  const name = `sheet:${kind}:${number}`;
  let opened = sheets.get(name);
  if (!opened) {
    const image = new Image();
    image.src = `data:${ABOUT.pictures[kind].kind};base64,${document.getElementById(name).textContent}`;
    opened = image.decode().then(() => image);
  }
  // The last used stand last.
  sheets.delete(name);
  sheets.set(name, opened);
  if (sheets.size > MOST_SHEETS) sheets.delete(sheets.keys().next().value);
  return opened;
}

// A canvas that shows example i's picture as soon as its sheet is decoded; null if there is none.
function picture(kind, i, places, label) {
  const place = places ? places[i] - 1 : -1;
  if (place < 0) return null;
  const {width, height} = ABOUT.pictures[kind];
  const spoken = label ? {role: "img", "aria-label": label} : {"aria-hidden": "true"};
  const canvas = element("canvas", {width, height, ...spoken});
  const within = place % ABOUT.perSheet;
  const x = (within % ABOUT.perRow) * width, y = Math.floor(within / ABOUT.perRow) * height;
  openSheet(kind, Math.floor(place / ABOUT.perSheet)).then((sheet) => {
    canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
    canvas.dataset.drawn = "yes";
  });
  return canvas;
}

// An example's features in a small table, or all that the page holds of them.
function featureTable(i, most) {
  const held = ABOUT.arrays.features.shape[1];
  const shown = Math.min(most, held);
  const rows = [];
  for (let f = 0; f < shown; f++) {
    const value = data.features[i * held + f];
    rows.push(element("tr", {}, element("th", {scope: "row"}, `${f + 1}`), element("td", {}, show(value))));
  }
  const left = ABOUT.features - shown;
  const caption = element("caption", {}, left ? `features; ${count(left)} more` : "features");
  return element("table", {class: "features"}, caption, element("tbody", {}, ...rows));
}
