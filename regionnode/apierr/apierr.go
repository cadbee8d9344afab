// Package apierr is the one error type that reaches a client: a code, DynamoDB's
// wording, and the details some codes carry. It knows no operation and no
// storage; whoever finds the fault names it with a constructor of this package,
// and the edge alone turns it into HTTP.
package apierr

import (
	"errors"
	"fmt"
)

// Code is the short name of a modelled DynamoDB error shape, as it stands after
// the '#' in __type.
type Code string

// The codes that antipode answers with. Shapes and statuses are those of the
// DynamoDB service model (API version 2012-08-10) and of AWS's common errors.
const (
	AccessDenied                    Code = "AccessDeniedException"
	BackupInUse                     Code = "BackupInUseException"
	BackupNotFound                  Code = "BackupNotFoundException"
	ConditionalCheckFailed          Code = "ConditionalCheckFailedException"
	ContinuousBackupsUnavailable    Code = "ContinuousBackupsUnavailableException"
	DuplicateItem                   Code = "DuplicateItemException"
	ExpiredIterator                 Code = "ExpiredIteratorException"
	ExpiredToken                    Code = "ExpiredTokenException"
	GlobalTableNotFound             Code = "GlobalTableNotFoundException"
	IdempotentParameterMismatch     Code = "IdempotentParameterMismatchException"
	IncompleteSignature             Code = "IncompleteSignatureException"
	IndexNotFound                   Code = "IndexNotFoundException"
	InternalServerError             Code = "InternalServerError"
	InvalidSignature                Code = "InvalidSignatureException"
	ItemCollectionSizeLimitExceeded Code = "ItemCollectionSizeLimitExceededException"
	LimitExceeded                   Code = "LimitExceededException"
	MissingAuthenticationToken      Code = "MissingAuthenticationTokenException"
	PolicyNotFound                  Code = "PolicyNotFoundException"
	ProvisionedThroughputExceeded   Code = "ProvisionedThroughputExceededException"
	ReplicaAlreadyExists            Code = "ReplicaAlreadyExistsException"
	ReplicaNotFound                 Code = "ReplicaNotFoundException"
	ReplicatedWriteConflict         Code = "ReplicatedWriteConflictException"
	RequestLimitExceeded            Code = "RequestLimitExceeded"
	ResourceInUse                   Code = "ResourceInUseException"
	ResourceNotFound                Code = "ResourceNotFoundException"
	Serialization                   Code = "SerializationException"
	ServiceUnavailable              Code = "ServiceUnavailable"
	TableAlreadyExists              Code = "TableAlreadyExistsException"
	TableInUse                      Code = "TableInUseException"
	TableNotFound                   Code = "TableNotFoundException"
	Throttling                      Code = "ThrottlingException"
	TransactionCanceled             Code = "TransactionCanceledException"
	TransactionConflict             Code = "TransactionConflictException"
	TransactionInProgress           Code = "TransactionInProgressException"
	TrimmedDataAccess               Code = "TrimmedDataAccessException"
	UnknownOperation                Code = "UnknownOperationException"
	UnrecognizedClient              Code = "UnrecognizedClientException"
	Validation                      Code = "ValidationException"
)

// Error is what a client sees. It crosses rpc whole (msgpack), so every field
// is plain data.
type Error struct {
	Code    Code   `msgpack:"c"`
	Message string `msgpack:"m"`
	// Item is the encoded image (item.Encoded) that a failed condition returns
	// when the request asked for ALL_OLD; empty otherwise.
	Item []byte `msgpack:"i,omitempty"`
	// Reasons is set only with TransactionCanceled: one for each item of the
	// request, in request order.
	Reasons []Reason `msgpack:"r,omitempty"`
}

// Reason says why one item of a transaction refused; Code is "None" for an item
// that did not.
type Reason struct {
	Code    string `msgpack:"c"`
	Message string `msgpack:"m,omitempty"`
	Item    []byte `msgpack:"i,omitempty"`
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// New makes an error of any code with a finished message.
func New(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Newf is New with formatting.
func Newf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes a ValidationException.
func Invalid(format string, args ...any) *Error { return Newf(Validation, format, args...) }

// ConditionFailed is the failure of a condition on one item; old is the encoded
// image to return, or nil.
func ConditionFailed(old []byte) *Error {
	return &Error{Code: ConditionalCheckFailed, Message: "The conditional request failed", Item: old}
}

// NotFound is the refusal of a data operation whose table does not exist.
func NotFound() *Error { return New(ResourceNotFound, "Requested resource not found") }

// TableMissing is the refusal of a control operation whose table does not exist.
func TableMissing(name string) *Error {
	return Newf(ResourceNotFound, "Requested resource not found: Table: %s not found", name)
}

// Internal hides a fault that is ours: the message is DynamoDB's, the cause
// belongs into the log.
func Internal() *Error { return New(InternalServerError, "Internal server error") }

// Of returns the Error inside err, or nil.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is tells whether err carries code.
func Is(err error, code Code) bool {
	e := Of(err)
	return e != nil && e.Code == code
}

// Status is the HTTP status AWS answers the code with.
func (c Code) Status() int {
	switch c {
	case InternalServerError:
		return 500
	case ServiceUnavailable:
		return 503
	}
	return 400
}

// Namespace is the part of __type before the '#'. Shapes of the DynamoDB and
// DynamoDB Streams models share one; the refusals of the services' common
// framework, which are in no model, come from three of its packages.
func (c Code) Namespace() string {
	switch c {
	case Validation:
		return "com.amazon.coral.validate"
	case Throttling, ServiceUnavailable:
		return "com.amazon.coral.availability"
	case AccessDenied, ExpiredToken, IncompleteSignature, InvalidSignature, MissingAuthenticationToken,
		Serialization, UnknownOperation, UnrecognizedClient:
		return "com.amazon.coral.service"
	}
	return "com.amazonaws.dynamodb.v20120810"
}
