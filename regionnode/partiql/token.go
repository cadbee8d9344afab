package partiql

import "fmt"

// tokenKind is what a token is to the grammar.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenKeyword
	tokenOperator
	tokenName       // a name without quotes
	tokenQuotedName // a name in double quotes
	tokenString
	tokenNumber
	tokenBool
	tokenParameter // ?
	tokenStar
	tokenDot
	tokenComma
	tokenColon
	tokenSemicolon
	tokenOpenParen
	tokenCloseParen
	tokenOpenBracket
	tokenCloseBracket
	tokenOpenCurly
	tokenCloseCurly
	tokenOpenBag
	tokenCloseBag
	tokenNull
	tokenMissing
	tokenAlias // AS, AT, BY: what may follow a source
)

// kindNames are the kinds as the errors of missing tokens name them.
var kindNames = map[tokenKind]string{
	tokenColon: "COLON", tokenCloseParen: "RIGHT_PAREN", tokenCloseBracket: "RIGHT_BRACKET",
	tokenCloseCurly: "RIGHT_CURLY", tokenCloseBag: "RIGHT_DOUBLE_ANGLE_BRACKET",
}

// token is one lexical element of a statement.
type token struct {
	kind tokenKind
	// text is a keyword or an operator in lower case and as the grammar names it
	// ("<>", "not_in"), a name or a string without its quotes, or a number as
	// written.
	text string
	pos  position
}

func (t *token) isName() bool { return t.kind == tokenName || t.kind == tokenQuotedName }

// is tells the keyword or operator of that text.
func (t *token) is(text string) bool {
	return (t.kind == tokenKeyword || t.kind == tokenOperator || t.kind == tokenAlias) && t.text == text
}

// position is where a token stands: line and column counted from 1, and its
// length, all in characters.
type position struct{ line, column, length int }

// String is the position as error texts end with it.
func (p position) String() string { return fmt.Sprintf(" at %d:%d:%d", p.line, p.column, p.length) }

// precedences of the infix operators. A greater one binds tighter.
const (
	precedenceSelect  = 6
	precedenceOr      = 10
	precedenceAnd     = 20
	precedenceNot     = 30
	precedenceEqual   = 40
	precedenceCompare = 50
	precedenceSum     = 60
	precedenceProduct = 70
)

var precedences = map[string]int{
	"or": precedenceOr, "and": precedenceAnd,
	"=": precedenceEqual, "<>": precedenceEqual, "is": precedenceEqual, "is_not": precedenceEqual,
	"in": precedenceEqual, "not_in": precedenceEqual,
	"<": precedenceCompare, "<=": precedenceCompare, ">": precedenceCompare, ">=": precedenceCompare,
	"between": precedenceCompare, "not_between": precedenceCompare,
	"like": precedenceCompare, "not_like": precedenceCompare,
	"+": precedenceSum, "-": precedenceSum, "||": precedenceSum,
	"/": precedenceProduct, "%": precedenceProduct,
}

// precedence of the token as an infix operator; 0 when it is none.
func (t *token) precedence() int {
	switch t.kind {
	case tokenStar:
		return precedenceProduct
	case tokenOperator:
		return precedences[t.text]
	}
	return 0
}
