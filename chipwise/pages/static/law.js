// What the rules say: all chips on a map, coloured by their status on a day; a chip's statuses over time.
"use strict";
(() => {
  const { draw, frame, sides, ends, share, logged, upright, axis, colour, shown, show } = window.chipwise;
  // A status has a colour and a shape, so that neither has to be told apart alone.
  const LOOK = {
    free: ["series-3", "circle"], notify: ["series-1", "circle"],
    licence_approval: ["series-1", "triangle"], discouraged: ["series-5", "triangle"],
    licence_case_by_case: ["series-5", "diamond"], licence_denial: ["series-2", "rect"],
    prohibited: ["wrong", "rect"], unknown: ["series-6", "emptyCircle"],
  };
  const slider = () => document.getElementById("day");

  draw.rules = (of, { width, height }) => {
    const at = slider() ? Number(slider().value) : of.at;
    const day = of.days[at];
    const [x, y] = [0, 1].map((k) => ends(of.chips.map((c) => c.at[k])));
    const spot = (at) => [share(at[0], x) * (width - 70), -share(at[1], y) * (height - 110)];
    const within = (value, [from, to]) => Math.min(Math.max(value, from), to);
    const regions = of.regions.filter((r) => r.from <= day && (r.to === null || day < r.to));
    // A region has its name in the upper left corner of its first box.
    const names = width <= 520 ? [] : regions.map((r, k) => {
      const [from, to] = spot([within(r.boxes[0][0], x), within(r.boxes[0][3], y)]);
      return [from + 5, to + 5 + 12 * k, 5.6 * r.name.length, 12];
    });
    const place = sides(
      of.chips.map((c) => [...spot(c.at), c.name]), ["right", "left", "top", "bottom"],
      (k) => of.chips[k].name === of.asked, names,
    );
    const named = new Map(of.chips.map((c, k) => [c.name, place[k]]));
    return frame({
      legend: { ...frame().legend, type: "plain", data: Object.values(of.statuses) },
      grid: { ...frame().grid, top: width > 640 ? 56 : 110 },
      xAxis: logged(axis, of.x, x),
      yAxis: logged(upright, of.y, y),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data, seriesName }) =>
          `${data.of.name}\n${seriesName}\n${of.x}: ${shown(data.of.at[0])}\n${of.y}: ${shown(data.of.at[1])}`,
      },
      series: [
        ...regions.map((region, k) => ({
          type: "scatter", data: [], silent: true, name: `${region.name}: ${region.outcome}`,
          markArea: {
            silent: true,
            itemStyle: {
              color: colour(region.mild ? "series-3" : "series-2"), opacity: 0.1,
              borderColor: colour(region.mild ? "series-3" : "series-2"), borderWidth: 1,
            },
            label: { show: width > 520, position: "insideTopLeft", color: colour("soft"), fontSize: 10, offset: [0, 12 * k] },
            data: region.boxes.map(([x0, x1, y0, y1], n) => [
              { name: n ? "" : region.name, coord: [within(x0, x), within(y0, y)] },
              { coord: [within(x1, x), within(y1, y)] },
            ]),
          },
        })),
        ...Object.entries(of.statuses).map(([status, name]) => ({
          name, type: "scatter", symbol: LOOK[status][1], symbolSize: 10,
          itemStyle: { color: colour(LOOK[status][0]) },
          label: {
            show: true, formatter: ({ data }) => data.of.name, position: "right", color: colour("ink"), fontSize: 10,
          },
          data: of.chips.filter((c) => c.statuses[at] === status && c.name !== of.asked)
            .map((c) => ({ value: c.at, of: c, label: { show: Boolean(named.get(c.name)), position: named.get(c.name) ?? "right" } })),
        })),
        // The chip that is asked about is ringed, its name always there.
        ...of.chips.filter((c) => c.name === of.asked).map((c) => ({
          name: of.statuses[c.statuses[at]], type: "scatter", symbol: LOOK[c.statuses[at]][1], symbolSize: 17, z: 5,
          itemStyle: { color: colour(LOOK[c.statuses[at]][0]), borderColor: colour("ink"), borderWidth: 2 },
          label: {
            show: true, formatter: c.name, position: named.get(c.name), color: colour("ink"), fontSize: 13, fontWeight: "bold",
            backgroundColor: colour("ground"), padding: [1, 4], borderRadius: 3,
          },
          data: [{ value: c.at, of: c }],
        })),
      ],
    });
  };

  // Statuses from day to day, a row each: broken lines, thick enough to be bars.
  draw.spans = (of) => {
    const spans = of.rows.flatMap((row, at) => row.spans.map((span) => [...span, at]));
    return frame({
      legend: { ...frame().legend, type: "plain", icon: "rect" },
      grid: { ...frame().grid, top: 40 },
      xAxis: axis("", { type: "time", axisLabel: { color: colour("soft"), hideOverlap: true } }),
      yAxis: {
        type: "category", inverse: true, data: of.rows.map((row) => row.name),
        axisLabel: { color: colour("ink") }, axisTick: { show: false },
      },
      tooltip: { show: false },
      series: Object.entries(of.statuses).map(([status, name]) => ({
        name, type: "line", symbol: "none", connectNulls: false,
        color: colour(LOOK[status][0]),
        // Two statuses of one colour are told apart by how full it is.
        lineStyle: { width: 26, cap: "butt", opacity: LOOK[status][1] === "triangle" ? 0.45 : 1 },
        data: spans.filter((span) => span[2] === status)
          .flatMap(([from, to, , at]) => [[from, at], [to, at], ["-", "-"]]),
      })),
    });
  };

  function move() {
    document.querySelectorAll("[data-chart=rules]").forEach((box) => {
      const of = JSON.parse(document.getElementById(`${box.id}-data`).textContent);
      const at = Number(slider().value);
      slider().setAttribute("aria-valuetext", of.days[at]);
      document.getElementById("day-shown").textContent = of.days[at];
      document.getElementById(`${box.id}-reading`).textContent = of.readings[at];
      show(box);
    });
  }
  addEventListener("DOMContentLoaded", () => slider()?.addEventListener("input", move));
})();
