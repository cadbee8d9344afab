package partiql

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"antipode/regionnode/apierr"
)

// malformed refuses a statement that the grammar does not know. detail is empty
// for text that cannot even be cut into tokens.
func malformed(detail string) error {
	return apierr.Invalid("Statement wasn't well formed, can't be processed: %s", detail)
}

// lexer cuts a statement into tokens.
type lexer struct {
	src          string
	at           int // the next byte
	line, column int // of the next character, from 1
	tokens       []token
}

// tokenize cuts all of src; the last token is a tokenEnd.
func tokenize(src string) ([]token, error) {
	l := &lexer{src: src, line: 1, column: 1}
	for {
		if !l.space() {
			return nil, malformed("")
		}
		if l.at == len(l.src) {
			l.tokens = append(l.tokens, token{kind: tokenEnd, pos: position{l.line, l.column, 0}})
			return l.tokens, nil
		}
		if !l.next() {
			return nil, malformed("")
		}
	}
}

// advance moves on by n bytes.
func (l *lexer) advance(n int) {
	for _, r := range l.src[l.at : l.at+n] {
		if r == '\n' {
			l.line++
			l.column = 0
		}
		l.column++
	}
	l.at += n
}

// space passes white space and comments; false for a comment without an end.
func (l *lexer) space() bool {
	for l.at < len(l.src) {
		rest := l.src[l.at:]
		switch {
		case strings.IndexByte(" \t\n\r\v\f", rest[0]) >= 0:
			l.advance(1)
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				end = len(rest)
			}
			l.advance(end)
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return false
			}
			l.advance(end + 4)
		default:
			return true
		}
	}
	return true
}

// symbols are the tokens of one or two characters, the longer ones first.
var symbols = []struct {
	text string
	kind tokenKind
}{
	{"<<", tokenOpenBag}, {">>", tokenCloseBag}, {"<=", tokenOperator}, {">=", tokenOperator},
	{"<>", tokenOperator}, {"!=", tokenOperator}, {"||", tokenOperator},
	{"(", tokenOpenParen}, {")", tokenCloseParen}, {"[", tokenOpenBracket}, {"]", tokenCloseBracket},
	{"{", tokenOpenCurly}, {"}", tokenCloseCurly}, {":", tokenColon}, {",", tokenComma}, {"*", tokenStar},
	{";", tokenSemicolon}, {"?", tokenParameter}, {".", tokenDot},
	{"=", tokenOperator}, {"<", tokenOperator}, {">", tokenOperator}, {"+", tokenOperator}, {"-", tokenOperator},
	{"/", tokenOperator}, {"%", tokenOperator}, {"@", tokenOperator}, {"^", tokenOperator},
}

// next cuts one token; false when there is none to cut.
func (l *lexer) next() bool {
	rest := l.src[l.at:]
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number()
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
			n++
		}
		l.word(rest[:n])
		return true
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s.text) {
			text := s.text
			if text == "!=" {
				text = "<>"
			}
			l.emit(s.kind, text, len(s.text))
			return true
		}
	}
	return false
}

// emit appends a token of n bytes.
func (l *lexer) emit(kind tokenKind, text string, n int) {
	t := token{kind: kind, text: text, pos: position{l.line, l.column, utf8.RuneCountInString(l.src[l.at : l.at+n])}}
	l.tokens = append(l.tokens, t)
	l.advance(n)
}

// quoted cuts a string or a quoted name, in which a doubled quote is one.
func (l *lexer) quoted(quote byte) bool {
	rest := l.src[l.at:]
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != quote {
			b.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		kind := tokenString
		if quote == '"' {
			kind = tokenQuotedName
		}
		l.emit(kind, b.String(), i+1)
		return true
	}
	return false
}

// number cuts a number. Its exponent, and its scale (the digits behind the point
// less the exponent), must fit 32 bits.
func (l *lexer) number() bool {
	rest := l.src[l.at:]
	n, fraction := digits(rest), 0
	if n < len(rest) && rest[n] == '.' {
		fraction = digits(rest[n+1:])
		n += 1 + fraction
	}
	if n < len(rest) && (rest[n] == 'e' || rest[n] == 'E') {
		start := n + 1
		n = start
		if n < len(rest) && (rest[n] == '+' || rest[n] == '-') {
			n++
		}
		d := digits(rest[n:])
		n += d
		exponent, err := strconv.ParseInt(rest[start:n], 10, 32)
		if scale := int64(fraction) - exponent; d == 0 || err != nil || scale > math.MaxInt32 || scale < math.MinInt32 {
			return false
		}
	}
	l.emit(tokenNumber, rest[:n], n)
	return true
}

// word cuts a name or a keyword, which may complete the keyword before it.
func (l *lexer) word(text string) {
	word := strings.ToLower(text)
	if last := len(l.tokens) - 1; last >= 0 {
		before := &l.tokens[last]
		if before.kind == tokenKeyword || before.kind == tokenOperator {
			if t, ok := pairs[[2]string{before.text, word}]; ok {
				before.kind, before.text = t.kind, t.text
				l.advance(len(text))
				return
			}
		}
	}
	kind := tokenName
	switch {
	case word == "true" || word == "false":
		kind = tokenBool
	case word == "null":
		kind = tokenNull
	case word == "missing":
		kind = tokenMissing
	case aliasWords[word]:
		kind = tokenAlias
	case wordOperators[word]:
		kind = tokenOperator
	case keywords[word]:
		kind = tokenKeyword
		if name, ok := typeAliases[word]; ok {
			word = name
		}
	default:
		word = text
	}
	l.emit(kind, word, len(text))
}

// digits counts the digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isLetter(c byte) bool { return (c|0x20)-'a' <= 'z'-'a' || c == '_' || c == '$' }
