package expr

import "strings"

// tokenKind is what a token is. Operators that are comparisons or arithmetic
// are told apart by their op.
type tokenKind uint8

const (
	tokenEnd       tokenKind = iota // the end of the expression
	tokenBad                        // a character that no expression has
	tokenName                       // an attribute's or a function's name
	tokenNameRef                    // #placeholder
	tokenValueRef                   // :placeholder
	tokenIndex                      // digits
	tokenCompare                    // =, <>, <, <=, >, >=
	tokenPlusMinus                  // + or -
	tokenOpen                       // (
	tokenClose                      // )
	tokenLeft                       // [
	tokenRight                      // ]
	tokenComma
	tokenDot
	tokenKeyword // AND, OR, NOT, BETWEEN, IN; in an update SET, REMOVE, ADD, DELETE
)

// token is one word of an expression; start and end are byte offsets in it.
type token struct {
	kind       tokenKind
	op         op // tokenCompare, tokenPlusMinus and tokenKeyword
	start, end int
}

// lex cuts an expression into tokens; the last is tokenEnd. It never fails: a
// character that has no place in an expression is a tokenBad, which the parser
// refuses where it meets it. Updates have other keywords than the rest of the
// language.
func lex(src string, update bool) []token {
	tokens := make([]token, 0, len(src)/3+2)
	for i := 0; i < len(src); {
		if isSpace(src[i]) {
			i++
			continue
		}
		t := scan(src, i, update)
		tokens = append(tokens, t)
		i = t.end
	}
	return append(tokens, token{kind: tokenEnd, start: len(src), end: len(src)})
}

func scan(src string, i int, update bool) token {
	c := src[i]
	t := token{kind: tokenBad, start: i, end: i + 1}
	switch {
	case isLetter(c):
		t.end = wordEnd(src, i)
		t.kind, t.op = keyword(src[i:t.end], update)
	case c == '#' || c == ':':
		t.end = wordEnd(src, i+1)
		switch {
		case t.end == i+1:
		case c == '#':
			t.kind = tokenNameRef
		default:
			t.kind = tokenValueRef
		}
	case isDigit(c):
		t.kind = tokenIndex
		// A leading zero stands alone.
		for c != '0' && t.end < len(src) && isDigit(src[t.end]) {
			t.end++
		}
	default:
		scanMark(src, &t)
	}
	if t.kind == tokenBad && c >= 0x80 {
		for t.end < len(src) && src[t.end]&0xC0 == 0x80 {
			t.end++ // the rest of the UTF-8 sequence
		}
	}
	return t
}

func scanMark(src string, t *token) {
	next := byte(0)
	if t.end < len(src) {
		next = src[t.end]
	}
	switch src[t.start] {
	case '=':
		t.kind, t.op = tokenCompare, opEQ
	case '<':
		t.kind, t.op = tokenCompare, opLT
		switch next {
		case '=':
			t.op, t.end = opLE, t.end+1
		case '>':
			t.op, t.end = opNE, t.end+1
		}
	case '>':
		t.kind, t.op = tokenCompare, opGT
		if next == '=' {
			t.op, t.end = opGE, t.end+1
		}
	case '+':
		t.kind, t.op = tokenPlusMinus, opPlus
	case '-':
		t.kind, t.op = tokenPlusMinus, opMinus
	case '(':
		t.kind = tokenOpen
	case ')':
		t.kind = tokenClose
	case '[':
		t.kind = tokenLeft
	case ']':
		t.kind = tokenRight
	case ',':
		t.kind = tokenComma
	case '.':
		t.kind = tokenDot
	}
}

var (
	conditionKeywords = [...]op{opAnd, opOr, opNot, opBetween, opIn}
	updateKeywords    = [...]op{opSet, opRemove, opAdd, opDelete}
)

// keyword tells a keyword, in any case, from a name.
func keyword(word string, update bool) (tokenKind, op) {
	if len(word) > len("BETWEEN") {
		return tokenName, opNone
	}
	keywords := conditionKeywords[:]
	if update {
		keywords = updateKeywords[:]
	}
	for _, o := range keywords {
		if strings.EqualFold(word, opTexts[o]) {
			return tokenKeyword, o
		}
	}
	return tokenName, opNone
}

func wordEnd(src string, i int) int {
	for i < len(src) && (isLetter(src[i]) || isDigit(src[i]) || src[i] == '_') {
		i++
	}
	return i
}

func isSpace(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
