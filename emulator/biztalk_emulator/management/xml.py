"""XML as the front end writes and reads it."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biztalk_emulator.management.errors import invalid_xml

NAMESPACE = "http://schemas.microsoft.com/windowsazure"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def element(name: str, *content: str, **attributes: str) -> str:
    """Write an element; `content` is XML already."""
    start = name + "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{start}>{''.join(content)}</{name}>" if content else f"<{start} />"


def text(name: str, value: object) -> str:
    """Write an element that holds text, with what XML cannot hold replaced; empty when the value is None or empty."""
    written = "" if value is None else escape(_NOT_XML.sub("\ufffd", str(value)))
    return f"<{name}>{written}</{name}>" if written else f"<{name} />"


def document(name: str, *content: str) -> bytes:
    """Write a whole document whose root is in the ``windowsazure`` namespace."""
    attributes = f' xmlns="{NAMESPACE}" xmlns:i="{_INSTANCE}"'
    return f"<{name}{attributes}>{''.join(content)}</{name}>".encode()


def read(body: bytes, root: str) -> Element:
    """Read a document and drop all namespaces: samples and clients differ in them.

    :raises ManagementError: 400 ``InvalidXmlRequest`` when it is no XML, declares a DTD or has another root.
    """
    try:
        tree = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise invalid_xml(f"The body must be a well-formed XML document {root} without a DTD.") from None
    for node in tree.iter():
        node.tag = node.tag.rpartition("}")[2]
    if tree.tag != root:
        raise invalid_xml(f"The root element of the body must be {root}.")
    return tree


def value(tree: Element, path: str) -> str | None:
    """Text of the element at `path`, stripped; None when there is no such element."""
    found = tree.find(path)
    return None if found is None else (found.text or "").strip()
