"""The page of the report: its HTML and CSS. It asks no host for anything, and runs no script.

`page.render` fills it in.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #56616e; --line: #d5dbe1; --pale: #f4f6f8; --good: #00674b;
  --bad: #a3320b; --open: #6b5400; --link: #0b5394; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 1.2rem; color: var(--ink); background: white;
  font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 2px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
a { color: var(--link); }
code, .literal { font-family: ui-monospace, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em;
  background: var(--pale); padding: 0 .2em; border-radius: 3px; }
.soft, .muted td, .muted th { color: var(--soft); }
nav { margin: .6rem 0 1rem; }
nav a { margin-right: 1.1rem; }
dl { margin: .6rem 0; }
dl > div { display: grid; grid-template-columns: 12rem 1fr; gap: .2rem 1rem; padding: .3rem 0;
  border-top: 1px solid var(--line); }
dt { font-weight: 600; }
dd { margin: 0; }
.tone { display: inline-block; width: 1.4em; font-weight: 700; }
.good .tone { color: var(--good); } .bad .tone { color: var(--bad); } .open .tone { color: var(--open); }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .8rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .42rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 3.4rem; background: var(--pale); }
.word { text-align: left; }
tbody th { font-weight: 600; }
th:first-child { position: sticky; left: 0; background: white; z-index: 1; }
thead th:first-child { background: var(--pale); }
td.better { color: var(--good); font-weight: 700; } td.worse, td.outside { color: var(--bad); font-weight: 700; }
td.long { white-space: normal; min-width: 16rem; text-align: left; }
figure { margin: 1.2rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
.front img { max-height: 90vh; width: auto; }
figcaption { font-size: .92rem; max-width: 62rem; }
figcaption p, figcaption ul { margin: .35rem 0; }
@media (max-width: 700px) {
  body { padding: .7rem; }
  dl > div { grid-template-columns: 1fr; }
  figure img, .front img { max-width: none; max-height: none; width: 700px; }
}
@page { size: A4 landscape; margin: 12mm; }
@page front { size: A4 portrait; margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  header, #conclusions { page: front; font-size: 9.5pt; }
  dl > div { grid-template-columns: 9.5rem 1fr; padding: .15rem 0; }
  h2, h3 { break-after: avoid; }
  .page { break-before: page; }
  figure, dl > div, tr { break-inside: avoid; }
  figure img { max-height: 150mm; width: auto; }
  .front img { max-height: 56mm; }
  .front figure { margin: .4rem 0; }
  .front figcaption { font-size: 8pt; }
  .wide { overflow: visible; }
  table { font-size: 6.6pt; }
  th, td { padding: .12rem .2rem; white-space: normal; }
  thead th { min-width: 0; }
  th:first-child { position: static; }
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>rainshaft: {{ datasets | join(", ") }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
{%- macro figure(shown) %}
<figure>
  <div class="wide"><img src="data:image/png;base64,{{ shown.png }}" alt="{{ shown.alt }}"
    width="{{ shown.width }}" height="{{ shown.height }}"></div>
  <figcaption>{{ shown.caption | safe }}
  <p class="soft">For papers: <code>{{ shown.pdf }}</code></p></figcaption>
</figure>
{%- endmacro %}
{%- macro table(shown) %}
<div class="wide" role="region" tabindex="0" aria-label="{{ shown.label }}"><table>
<thead><tr>
{%- for name in shown.head %}<th scope="col"{% if loop.index <= shown.words %} class="word"{% endif %}>{{ name }}</th>
{%- endfor %}</tr></thead>
<tbody>
{%- for line in shown.lines %}
<tr{% if line.muted %} class="muted"{% endif %}>
{%- for cell in line.cells %}
{%- if loop.first %}<th scope="row" class="word">{{ cell.text }}</th>
{%- else %}<td{% if cell.mark or loop.index <= shown.words %} class="{{ cell.mark or "word" }}"{% endif %}>
{{- cell.text }}</td>{% endif %}
{%- endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endmacro %}
<header>
<h1>What may be concluded</h1>
<div class="soft">rainshaft {{ version }}, {{ made }}. In brackets: 90 % intervals.
<span class="good"><span class="tone" aria-hidden="true">✓</span>good</span>,
<span class="bad"><span class="tone" aria-hidden="true">✗</span>a fault beyond the uncertainty</span>,
<span class="open"><span class="tone" aria-hidden="true">?</span>open: the uncertainty does not tell</span>.</div>
<nav aria-label="parts of the report"><a href="#tables">Tables</a> <a href="#verdict">Verdict</a>
<a href="#figures">Figures</a> <a href="#words">Names and columns</a></nav>
</header>
<main>
<section id="conclusions">
{%- for dataset, statements in conclusions.items() %}
{%- if conclusions | length > 1 %}<h2>{{ dataset }}</h2>{% endif %}
<dl>
{%- for one in statements %}
<div class="{{ one.tone or "fact" }}"><dt><span class="tone" aria-hidden="true">{{ signs[one.tone] }}</span>
{{- one.topic }}</dt><dd>{{ one.text | prose | safe }}</dd></div>
{%- endfor %}
</dl>
{%- endfor %}
<div class="front">{% for shown in front %}{{ figure(shown) }}{% endfor %}</div>
</section>
<section id="tables" class="page">
<h2>Tables</h2>
<p>Bold: the 90 % interval of the difference to the strongest baseline excludes 0, or that of a score lies outside of
the band of good values. All else may be noise. Grey: the observed rain, the noise floor, and what has seen the
truth.</p>
{%- for one in tables %}
<h3>{{ one.title }}</h3>
{%- if one.before %}<p>{{ one.before | prose | safe }}</p>{% endif %}
{{- table(one) }}
{%- if one.after %}<p>{{ one.after | prose | safe }}</p>{% endif %}
{%- endfor %}
</section>
<section id="verdict" class="page">
<h2>Verdict</h2>
{%- if not verdicts %}<p>There is no verdict.</p>{% endif %}
{%- for one in verdicts %}
<h3>{{ one.name }}, {{ one.mode }}: {{ one.passed }} of {{ one.judged }} checks passed</h3>
{%- if one.note %}<p>{{ one.note | prose | safe }}</p>{% endif %}
{%- if one.failed %}
<div class="wide" role="region" tabindex="0" aria-label="failed checks of {{ one.name }}"><table>
<thead><tr><th scope="col" class="word">failed check</th><th scope="col">found</th>
<th scope="col" class="word">expected</th><th scope="col" class="word">advice</th></tr></thead><tbody>
{%- for check in one.failed %}
<tr><th scope="row" class="word">{{ check.check }}</th><td>{{ check.text }}</td>
<td class="word">{{ check.expected }}</td><td class="long">{{ check.advice | prose | safe }}</td></tr>
{%- endfor %}
</tbody></table></div>
{%- endif %}
{%- endfor %}
</section>
<section id="figures" class="page">
<h2>Figures</h2>
{%- for shown in figures %}
<h3>{{ shown.title }}</h3>
{{- figure(shown) }}
{%- endfor %}
</section>
<section id="words" class="page">
<h2>Names and columns</h2>
<dl>
{%- for name, words in descriptions.items() %}
<div><dt>{{ name }}</dt><dd>{{ words | prose | safe }}</dd></div>
{%- endfor %}
{%- for name, words in columns.items() %}
<div><dt>{{ name }}</dt><dd>{{ words | prose | safe }}</dd></div>
{%- endfor %}
</dl>
<p>{{ brackets }}</p>
</section>
</main>
</body>
</html>
"""
