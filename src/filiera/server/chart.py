"""A study as an SVG: score against money spent, best so far, and the best baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 84, 32, 34, 58  # room for the larger letters of a narrow window


def study_chart(report: Mapping[str, Any]) -> Markup:
    """The picture, or an empty text when no trial has a score."""
    points, spent = [], 0.0
    for trial in report["trials"]:
        spent += float(trial["cost"]["amount"])
        if trial["score"] is not None:
            points.append((spent, float(trial["score"]), trial["number"]))
    if not points:
        return Markup("")
    baseline = min((item["score"] for item in report["baselines"]), default=None)
    scores = sorted(score for _, score, _ in points)
    top = scores[min(len(scores) - 1, int(0.95 * len(scores)))]  # a few bad trials must not flatten the rest
    low, high = scores[0], top if top > scores[0] else scores[0] + 1
    pad = 0.08 * (high - low)
    frame = _Frame(points[-1][0], low - pad, high + pad)
    parts = [*frame.axes(report["currency"], report["unit"] or "")]
    parts += [frame.dot(x, y, f"trial {n}: {y:.4g}") for x, y, n in points]
    parts.append(frame.best(points))
    if baseline is not None:
        parts.append(frame.baseline(baseline))
    body = "".join(parts)
    return Markup(  # noqa: S704 - numbers and escaped texts only
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="score against money spent">{body}</svg>'
    )


class _Frame:
    def __init__(self, most: float, low: float, high: float) -> None:
        self._most, self._low, self._high = most or 1.0, low, high

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self._most

    def y(self, value: float) -> float:
        share = (min(max(value, self._low), self._high) - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def axes(self, currency: str, unit: str) -> list[str]:
        parts = []
        for step in range(5):
            value = self._low + (self._high - self._low) * step / 4
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y + 4:.1f}">{value:.4g}</text>')
            money = self._most * step / 4
            side = "end" if step == 4 else "mid"
            parts.append(
                f'<text class="tick {side}" x="{self.x(money):.1f}" y="{HEIGHT - BOTTOM + 21}">{money:.3g}</text>'
            )
        label = escape(f"{currency} spent; score in {unit}" if unit else f"{currency} spent")
        parts.append(f'<text class="tick mid" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}">{label}</text>')
        return parts

    def dot(self, x: float, y: float, text: str) -> str:
        place = f'cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="4"'
        return f'<circle class="trial" {place}><title>{escape(text)}</title></circle>'

    def best(self, points: list[tuple[float, float, int]]) -> str:
        best, path = points[0][1], f"M{self.x(points[0][0]):.1f},{self.y(points[0][1]):.1f}"
        for x, y, _ in points[1:]:
            path += f"H{self.x(x):.1f}"
            if y < best:
                best = y
                path += f"V{self.y(best):.1f}"
        return f'<path class="best" d="{path}"/>'

    def baseline(self, value: float) -> str:
        y = self.y(value)
        where = "above the picture: " if value > self._high else ""
        line = f'<line class="baseline" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        return (
            line + f'<text class="tick end" x="{WIDTH - RIGHT}" y="{y - 7:.1f}">best baseline {where}{value:.4g}</text>'
        )
