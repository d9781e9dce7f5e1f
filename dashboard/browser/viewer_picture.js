// How a picture comes onto the stage, and what lies over it.

// Amber where the model looked, clear where it did not. Drawn as small as it is; the browser makes it smooth.
function paintHeat(canvas, rows, ratio) {
  const small = document.createElement("canvas");
  small.width = rows[0].length;
  small.height = rows.length;
  const pixels = new ImageData(small.width, small.height);
  rows.flat().forEach((value, index) => pixels.data.set([240, 150, 20, Math.round(value * 2.2)], index * 4));
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.height = 448;
  canvas.width = Math.max(1, Math.round(448 * ratio));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// How much larger or smaller a picture lying on its side must be to fill the stage as it does when upright.
function sidewaysFit(stage, img) {
  const { clientWidth: width, clientHeight: height } = stage;
  const { naturalWidth: across, naturalHeight: down } = img;
  if (!across || !down || !width || !height) return 1;
  const ratio = Math.min(width / down, height / across) / Math.min(width / across, height / down);
  return Number(ratio.toFixed(4));
}
