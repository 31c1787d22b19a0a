"""A page as a parser of HTML sees it."""

import html.parser


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, and the text of each element."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.content, self.stack = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in {"meta", "input", "br", "img"}:
            self.stack.append(len(self.tags) - 1)

    def handle_endtag(self, tag):
        while self.stack and self.tags[self.stack.pop()][0] != tag:
            pass

    def handle_data(self, content):
        if self.stack:
            self.content[self.stack[-1]] = self.content.get(self.stack[-1], "") + content

    def all(self, tag):
        return [(attributes, self.content.get(i, "")) for i, (name, attributes) in enumerate(self.tags) if name == tag]
