package wire

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"antipode/regionnode/apierr"
)

// noMin and noMax stand for a bound that a number does not have.
const (
	noMin = math.MinInt64
	noMax = math.MaxInt64
)

// maxViolations is how many violations DynamoDB lists.
const maxViolations = 10

// rule is what the model demands of a string. Lengths count UTF-16 units; max 0
// is no bound.
type rule struct {
	min, max int
	pattern  string // as DynamoDB prints it
	match    func(string) bool
	enum     []string // in the order in which DynamoDB prints it
	table    bool     // a table's name or its ARN
}

// tableName is the rule for a name where an ARN is allowed too.
var tableName = rule{min: 3, max: 255, pattern: "[a-zA-Z0-9_.-]+", match: isName}

// validate checks in against the model. Operations of the newer layer check
// bounds first, and alone; what remains is collected and counted.
//
// older checks as the older layer does whatever the operation is.
func (v *validator) validate(op Operation, in Input, older bool) error {
	*v = validator{op: op, phase: everything, older: older, path: v.path[:0]}
	if traits[op].limitsFirst && !older {
		v.phase = limits
		if in.check(v); v.lone == nil {
			v.phase = remainder
		}
	}
	if v.lone == nil {
		in.check(v)
	}
	return v.result()
}

// phase is which constraints a pass looks at.
type phase uint8

const (
	everything phase = iota
	limits           // bounds only; the first violation is the answer
	remainder        // everything but the bounds that limits looked at
)

// step is one piece of a member's path: a member, and which element of it.
type step struct {
	member string // empty for an element of an element
	of     element
	key    string // with ofMap
	index  int    // with ofList, from 0
}

// element is how the path goes on below a member.
type element uint8

const (
	ofStructure element = iota
	ofList
	ofMap
)

// validator walks an input and collects violations.
type validator struct {
	op    Operation
	phase phase
	older bool
	path  []step
	found []string
	// lone is a violation that is answered alone.
	lone *apierr.Error
}

func (v *validator) result() error {
	switch n := len(v.found); {
	case v.lone != nil:
		return v.lone
	case n == 0:
		return nil
	case n == 1:
		return apierr.New(apierr.Validation, envelope+v.found[0])
	default:
		return apierr.New(apierr.Validation, strconv.Itoa(n)+" validation errors detected: "+strings.Join(v.found, "; "))
	}
}

// clean tells whether nothing has been found yet.
func (v *validator) clean() bool { return v.lone == nil && len(v.found) == 0 }

func (v *validator) enter(member string) { v.path = append(v.path, step{member: member}) }

func (v *validator) enterKey(member, key string) {
	v.path = append(v.path, step{member: member, of: ofMap, key: key})
}

func (v *validator) enterAt(member string, i int) {
	v.path = append(v.path, step{member: member, of: ofList, index: i})
}

func (v *validator) enterElement(i int) { v.enterAt("", i) }

func (v *validator) leave() { v.path = v.path[:len(v.path)-1] }

// at is the path of member below the current one, each name through spell.
func (v *validator) at(member string, spell func(string) string) string {
	var parts []string
	for _, s := range append(v.path[:len(v.path):len(v.path)], step{member: member}) {
		if s.member != "" {
			parts = append(parts, spell(s.member))
		}
		switch s.of {
		case ofList:
			parts = append(parts, strconv.Itoa(s.index+1), "member")
		case ofMap:
			parts = append(parts, s.key, "member")
		}
	}
	return strings.Join(parts, ".")
}

func asIs(s string) string { return s }

// lowerFirst is how the older layer spells members: sSESpecification.
func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// alone ends the check with one message.
func (v *validator) alone(message string) {
	if v.lone == nil {
		v.lone = apierr.New(apierr.Validation, message)
	}
}

// violate reports that the value at member breaks a constraint.
func (v *validator) violate(member, value, constraint string) {
	v.add("Value '" + value + "' at '" + v.at(member, lowerFirst) + "' failed to satisfy constraint: " + constraint)
}

func (v *validator) add(violation string) {
	if len(v.found) < maxViolations {
		v.found = append(v.found, violation)
	}
}

// exceed reports a broken bound in the newer layer's words, which name the
// member but not the value.
func (v *validator) exceed(member, constraint string) {
	v.alone(envelope + "Value at '" + v.at(member, asIs) + "' failed to satisfy constraint: " + constraint)
}

// null reports a required member that is absent.
func (v *validator) null(member string) {
	if v.phase != limits {
		v.add("Value null at '" + v.at(member, lowerFirst) + "' failed to satisfy constraint: Member must not be null")
	}
}

// noTable reports an absent TableName.
func (v *validator) noTable() {
	if !traits[v.op].controlPlane {
		v.null("TableName")
		return
	}
	v.bare("The parameter 'TableName' is required but was not present in the request")
}

// bare ends the check with a message outside the envelope.
func (v *validator) bare(message string) {
	if v.phase != limits {
		v.alone(message)
	}
}

func atLeast(what string, n int64) string {
	return "Member must have " + what + " greater than or equal to " + strconv.FormatInt(n, 10)
}

func atMost(what string, n int64) string {
	return "Member must have " + what + " less than or equal to " + strconv.FormatInt(n, 10)
}

// length reports a list or map whose length is out of bounds; high -1 is none.
func (v *validator) length(member string, n, low, high int, value any) {
	constraint := atLeast("length", int64(low))
	if high >= 0 && n > high {
		constraint = atMost("length", int64(high))
	}
	switch v.phase {
	case limits:
		v.exceed(member, constraint)
	case everything:
		v.violate(member, javaString(value), constraint)
	}
}

// number checks an integer.
func (v *validator) number(member string, n Opt[int64], low, high int64) {
	if !n.Set || n.Value >= low && n.Value <= high {
		return
	}
	constraint := atLeast("value", low)
	if n.Value > high {
		constraint = atMost("value", high)
	}
	switch v.phase {
	case limits:
		v.exceed(member, constraint)
	case everything:
		v.violate(member, strconv.FormatInt(n.Value, 10), constraint)
	}
}

// text checks a string member.
func (v *validator) text(member string, s Opt[string], r *rule) {
	if s.Set {
		v.str(member, s.Value, r)
	}
}

// element checks a string in the list that was entered last.
func (v *validator) element(s string, r *rule) { v.str("", s, r) }

func (v *validator) str(member, s string, r *rule) {
	switch {
	case r.enum != nil:
		if v.phase != limits && !r.has(s) {
			v.violate(member, s, enumConstraint(r.enum))
		}
	case v.phase == limits:
		if c := r.broken(s); c != nil {
			v.exceed(member, c[0])
		}
	case r.table:
		// The model allows for an ARN; a name has tighter rules.
		switch {
		case v.older && s == "":
			v.violate(member, s, atLeast("length", 1))
		case !strings.HasPrefix(s, "arn:"):
			v.strict(member, s, &tableName)
		}
	case v.phase == everything:
		v.strict(member, s, r)
	}
}

// strict reports every constraint that s breaks. A control operation's table
// name of the wrong length is answered alone.
func (v *validator) strict(member, s string, r *rule) {
	broken := r.broken(s)
	for _, c := range broken {
		v.violate(member, s, c)
	}
	if len(broken) > 0 && member == "TableName" && len(v.path) == 0 && traits[v.op].controlPlane {
		v.alone(envelope + v.found[len(v.found)-1])
	}
}

// broken lists the constraints that s breaks, as DynamoDB orders them.
func (r *rule) broken(s string) []string {
	var out []string
	if r.match != nil && !r.match(s) {
		out = append(out, patternConstraint(r.pattern))
	}
	if r.fits(s) {
		return out
	}
	n := units(s)
	if n < r.min {
		out = append(out, atLeast("length", int64(r.min)))
	}
	if r.max > 0 && n > r.max {
		out = append(out, atMost("length", int64(r.max)))
	}
	return out
}

// fits tells from the number of bytes alone that the length is within bounds: a
// character of one UTF-16 unit has one to three bytes.
func (r *rule) fits(s string) bool {
	return len(s) >= 3*r.min && (r.max == 0 || len(s) <= r.max)
}

func (r *rule) has(s string) bool {
	for _, e := range r.enum {
		if e == s {
			return true
		}
	}
	return false
}

func enumConstraint(values []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(values, ", ") + "]"
}

func patternConstraint(pattern string) string {
	return "Member must satisfy regular expression pattern: " + pattern
}

// nameless checks an enum that the newer layer words without member and value;
// the older one names member.
// lone: the violation is answered alone, inside the envelope or bare.
func (v *validator) nameless(member string, s Opt[string], r *rule, set string, lone, inside bool) {
	if !s.Set || v.phase == limits || r.has(s.Value) {
		return
	}
	if v.older {
		v.violate(member, s.Value, enumConstraint(r.enum))
		return
	}
	violation := "Failed to satisfy constraint: Member must satisfy enum value set: " + set
	switch {
	case !lone:
		v.add(violation)
	case inside:
		v.alone(envelope + violation)
	default:
		v.alone(violation)
	}
}

// badTableKey tells whether a key of m is neither a table's name nor an ARN.
func badTableKey[T any](m Map[T]) bool {
	for i := range m {
		if k := m[i].Key; !strings.HasPrefix(k, "arn:") && tableName.broken(k) != nil {
			return true
		}
	}
	return false
}

// tableKeys reports a map whose keys are no table names. BatchGetItem prints
// the map as JSON, other operations as Java does.
func (v *validator) tableKeys(member string, m any) {
	if v.phase == limits {
		return
	}
	value := javaString(m)
	if v.op == BatchGetItem {
		value = jsonString(m)
	}
	v.violate(member, value, "Map keys must satisfy constraint: ["+
		atMost("length", int64(tableName.max))+", "+atLeast("length", int64(tableName.min))+", "+patternConstraint(tableName.pattern)+"]")
}

// values reports a map one of whose lists has a length out of bounds.
func (v *validator) values(member string, low, high int64, m any) {
	if v.phase != limits {
		v.violate(member, javaString(m), "Map value must satisfy constraint: ["+atMost("length", high)+", "+atLeast("length", low)+"]")
	}
}

// units counts the UTF-16 units of s, Java's length.
func units(s string) int {
	n := 0
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// isName matches [a-zA-Z0-9_.-]+.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// lazily matches the whole of a string against a pattern that is compiled when
// it is first needed, to keep a function's cold start short.
func lazily(pattern string) func(string) bool {
	compile := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + pattern + `)\z`) })
	return func(s string) bool { return compile().MatchString(s) }
}
