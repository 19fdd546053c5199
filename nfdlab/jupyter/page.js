document.querySelectorAll("figure.sweep").forEach((figure) => {
  const sweep = JSON.parse(figure.querySelector("script").textContent);
  const image = figure.querySelector("img"), range = figure.querySelector("input"), shown = figure.querySelector("output");
  range.addEventListener("input", () => {
    const i = Number(range.value);
    image.src = `data:${sweep.kind};base64,${sweep.frames[i]}`;
    shown.textContent = sweep.values[i];
    range.setAttribute("aria-valuetext", sweep.values[i]);
  });
});
document.querySelectorAll("figure.plotly").forEach((figure) => {
  const { data, layout, config } = JSON.parse(figure.querySelector("script").textContent);
  Plotly.newPlot(figure.querySelector("div"), data, layout, { displaylogo: false, ...config, responsive: true });
});
