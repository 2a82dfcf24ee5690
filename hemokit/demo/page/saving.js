// The result of the browser alone: the slice as it is shown, with what it may not be used for written below it.

export async function savePicture(canvas, { threshold }) {
  const strip = 60;
  const width = Math.max(canvas.width, 360);
  const page = Object.assign(document.createElement("canvas"), { width, height: canvas.height + strip });
  const context = page.getContext("2d");
  context.fillRect(0, 0, page.width, page.height);
  context.drawImage(canvas, (width - canvas.width) / 2, 0);
  context.fillStyle = "#ffffff";
  context.font = "15px sans-serif";
  context.fillText("Education only, not a medical device.", 8, canvas.height + 24);
  context.fillText(`hemokit demo, threshold ${(threshold / 1000).toFixed(3)}`, 8, canvas.height + 46);
  const blob = await new Promise((resolve) => page.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "hemokit_result.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
