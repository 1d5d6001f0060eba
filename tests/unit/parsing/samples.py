"""Small valid documents of every content type, made on the spot."""

from collections.abc import Sequence
from io import BytesIO

import docx

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def make_pdf(pages: Sequence[Sequence[str]], *, encrypted: bool = False) -> bytes:
    """A PDF with one text line a string, in Helvetica."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        stream = f"BT /F1 10 Tf 12 TL 40 780 Td {shown} ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    body, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    start = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    body += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    keys = f"/O <{'ab' * 32}> /U <{'cd' * 32}>"
    lock = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 {keys} >> /ID [<{'01' * 16}> <{'01' * 16}>]"
    lock = lock if encrypted else ""
    body += f"trailer << /Size {len(objects) + 1} /Root 1 0 R {lock} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(body)


def make_docx() -> bytes:
    """A Word document with a title, a heading, prose and a table with a merged cell."""
    document = docx.Document()
    document.add_heading("Field guide", 0)
    document.add_paragraph("Birds are warm-blooded.")
    document.add_heading("Owls", 2)
    document.add_paragraph("Owls hunt at night.")
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "name", "size"
    table.cell(1, 0).merge(table.cell(1, 1)).text = "eagle owl"
    document.add_paragraph("The end.")
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


MARKDOWN = b"""\
# Title

First paragraph.

## Usage

```sh
run it

# no heading
```

- one
- two

| a | b |
|---|---|
| 1 | 2 |
"""
RST = b"""\
Title
=====

Text::

    code

    more code

Usage
-----

=== ===
a   b
=== ===
1   2
=== ===

End.
"""
HTML = b"""\
<html><head><title>t</title><style>p{}</style></head><body><nav>menu</nav>
<h1>Title</h1><p>Some <b>bold</b>
 text.<script>var hidden</script><h2>Code</h2><pre>a
  b</pre><table><tr><th>k<th>v<tr><td>1<td>2</table></body></html>
"""

SAMPLES = {
    "text/markdown": MARKDOWN,
    "text/x-rst": RST,
    "text/html": HTML,
    "text/plain": b"One paragraph.\n\nAnother one,\nwith two lines.\n",
    "application/pdf": make_pdf([["Hello world.", "Second line."], [], ["Last page."]]),
    DOCX: make_docx(),
}
VERBATIM = ("text/markdown", "text/x-rst", "text/plain")
